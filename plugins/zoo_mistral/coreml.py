"""Mistral by Core ML: a stateful program built straight from the source's weights."""

from zoo_mistral.config import MISTRAL

convert, run = MISTRAL.coreml.convert, MISTRAL.coreml.run
