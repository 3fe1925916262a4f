"""The family OpenELM: decoders whose layers differ in width, with grouped-query attention.

OpenELM, https://arxiv.org/abs/2404.14619; published with https://github.com/apple/corenet.
"""
