"""The family Stable Diffusion: a text encoder, a U-Net that denoises, and an autoencoder.

Latent diffusion, https://arxiv.org/abs/2112.10752; published with
https://github.com/CompVis/stable-diffusion. SDXL, https://arxiv.org/abs/2307.01952.
"""
