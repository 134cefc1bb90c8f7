"""Random checkpoints of real architectures: those that midway ships for trying out recipes."""

from midway.lab.tiny import FAMILIES, Family, tiny_checkpoint, tiny_tokenizer

__all__ = ["FAMILIES", "Family", "tiny_checkpoint", "tiny_tokenizer"]
