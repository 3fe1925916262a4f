"""OpenELM for training: the module of `zoo_openelm` in the clothes of a transformers model."""

from typing import Any

import torch
from torch.nn.functional import linear
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import CausalLMOutput

from zoo_openelm.config import parse_config
from zoo_openelm.module import OpenELM

INITIAL_SPREAD = 0.02


class OpenELMConfig(PreTrainedConfig):
    """The keys of OpenELM's config.json, as they come."""

    model_type = "openelm"


class OpenELMForCausalLM(PreTrainedModel, GenerationMixin):
    """Saves, under the Hub's names, what `zoo_openelm` loads; generates without a cache."""

    config_class = OpenELMConfig

    def __init__(self, config: OpenELMConfig) -> None:
        super().__init__(config)
        self.transformer = OpenELM(parse_config(config.to_dict())).transformer
        self.post_init()

    def _init_weights(self, module: torch.nn.Module) -> None:
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            torch.nn.init.normal_(module.weight, std=INITIAL_SPREAD)

    def generate(self, *args: Any, **options: Any) -> Any:
        return super().generate(*args, use_cache=False, **options)

    def prepare_inputs_for_generation(
        self, input_ids: torch.Tensor, **kwargs: Any
    ) -> dict[str, Any]:
        return {"input_ids": input_ids}

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        use_cache: bool = False,
        **kwargs: Any,
    ) -> CausalLMOutput:
        """Token ids, (batch, length), to logits, (batch, length, vocabulary).

        Rows are packed, and nothing is cached: the other arguments are there for transformers.
        """
        hidden, _ = self.transformer(input_ids, None)
        return CausalLMOutput(logits=linear(hidden, self.transformer.token_embeddings.weight))


AutoConfig.register(OpenELMConfig.model_type, OpenELMConfig)
AutoModelForCausalLM.register(OpenELMConfig, OpenELMForCausalLM)
