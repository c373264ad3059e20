"""Continued pre-training: a language model or encoder goes on reading, now the texts of a catalogue."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor, nn

from ..config import Config
from ..data.dataset import Catalogue
from ..errors import ConfigError, TrainingError
from ..files import atomic_directory, read_json, write_json
from ..pretrained import Weights, locate
from ..pretrained.adapters import add_adapters, merge_adapters, save_memory
from ..pretrained.loading import choose_device, load_pretrained, loading
from ..progress import track
from ..registry import need
from ..teachers.encoder import texts_of
from ..teachers.text_encoder import TextEncoder
from .batches import batches_of_like_length
from .checkpoint import load_checkpoint, save_checkpoint

__all__ = ["FACTS", "Pretraining", "pretrain"]

FACTS = "pretraining.json"
"""Name of the file in the model's folder that says how it was made."""
_IGNORED = -100
"""The label of a token that nothing is learned from, in transformers."""
_HELD_MOST = 1000
Ints = npt.NDArray[np.int64]


class Pretraining(Config):
    """Further training of pretrained weights on the items' texts, by what they were trained with before.

    A decoder learns to predict the next token; an encoder to restore those that were masked: 15 % of them, of which
    80 % are replaced by the mask, 10 % by another token, and 10 % stay (BERT, Devlin et al. 2018,
    https://arxiv.org/abs/1810.04805). That texts of one's own domain help is from Gururangan et al. 2020
    (https://arxiv.org/abs/2004.10964).
    """

    name: ClassVar[str] = "pretraining"
    not_shaping: ClassVar[frozenset[str]] = frozenset({"device", "checkpointing", "checkpoint_seconds"})

    model: str = Field("smollm2", description="'smollm2', 'minilm' (inside packages), a folder, or a name at the hub")
    gguf: str | None = Field(None, description="file in the folder, for weights in GGUF")
    revision: str | None = Field(None, description="branch, tag or commit at the hub")
    local_only: bool = Field(False, description="never ask the hub, use only what is on this machine")
    task: Literal["auto", "causal", "masked"] = Field("auto", description="auto: masked for encoders, else causal")
    template: str = Field("{text}", description="what is read; {text} stands for the item's text")
    max_length: int = Field(256, ge=2, description="tokens read of each text")
    mask: float = Field(0.15, gt=0, lt=1, description="share of the tokens that an encoder restores")
    rank: int = Field(0, ge=0, description="0: all weights learn; else LoRA adapters of this rank, merged at the end")
    epochs: int = Field(3, ge=1)
    lr: float = Field(5e-5, gt=0, description="learning rate of AdamW after warm-up; it falls to 0 at the end")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of the training in which the learning rate rises from 0")
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    batch_tokens: int = Field(2048, ge=2, description="tokens in a step, about; bounds the memory")
    checkpointing: bool = Field(False, description="compute blocks again for the gradient: less memory, more time")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="of the forward pass; weights are float32. auto: bf16 on a GPU"
    )
    held_out: float = Field(
        0.05, ge=0, lt=1, description="share of the texts that only measure the loss, 1,000 at most"
    )
    seed: int = Field(0, ge=0)
    device: str = Field("auto", description="auto: GPU if there is one")
    checkpoint_seconds: float = Field(120.0, ge=0, description="between two checkpoints")

    @property
    def dtype(self) -> str:
        """Of the weights in training."""
        return "float32"

    def key(self, identity: str, texts: Sequence[str]) -> str:
        """Hash over all that decides the weights that come out: 16 hex digits."""
        shaping = self.model_dump(mode="json", exclude=set(self.not_shaping) | {"model"})
        digest = hashlib.sha256(json.dumps([identity, shaping], sort_keys=True).encode())
        for text in texts:
            digest.update(text.encode("utf-8", "replace") + b"\0")
        return digest.hexdigest()[:16]


def pretrain(config: Pretraining, items: Catalogue, path: str | Path) -> dict[str, Any]:
    """Train further, and save a folder that encoders and language models load by its name.

    An interrupted training goes on from the last checkpoint, which lies beside the folder until it is done.

    Args:
        config: Which model, and how.
        items: Whose texts are read; the title where there is none.
        path: The folder.

    Returns:
        What is in ``pretraining.json``: task, texts, tokens, seconds, and the mean loss in nats of a token of texts
        that were held out, before and after (None without any).

    Raises:
        TeacherError: The model cannot be loaded, or the items have no text.
        ConfigError: It cannot be trained in this way.
        TrainingError: The folder holds something else, or the loss is not finite.
    """
    path, weights = Path(path), locate(config.model, config.gguf, config.revision)
    texts = [config.template.replace("{text}", text.strip()) for text in texts_of(items) if text.strip()]
    key = config.key(weights.identity, texts)
    if path.exists():
        known = read_json(path / FACTS, TrainingError) if (path / FACTS).is_file() else {}
        if known.get("key") != key:
            raise TrainingError("this folder holds something else", where=path, hint="name another, or remove it")
        return dict(known)
    kept = path.with_name(f"{path.name}.checkpoint")
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)  # a head that is new is drawn
        reading = _Reading(config, weights, texts)
        facts = reading.run(kept, key) | {"key": key, "model": config.model}
    with atomic_directory(path) as part:
        reading.save(part)
        write_json(part / FACTS, facts)
    shutil.rmtree(kept, ignore_errors=True)
    return facts


class _Reading:
    """State of one training.

    Args:
        config: How.
        weights: Where the weights are.
        texts: What is read.
    """

    def __init__(self, config: Pretraining, weights: Weights, texts: Sequence[str]) -> None:
        self.config, self.weights, self.device = config, weights, choose_device(config.device)
        self.masked = _is_masked(config, weights)
        auto = "AutoModelForMaskedLM" if self.masked else "AutoModelForCausalLM"
        self.tokenizer, network = load_pretrained(auto, config, weights, self.device)
        if self.masked and self.tokenizer.mask_token_id is None:
            raise ConfigError(f"{config.model} has no mask token", key=("task",), hint="use task: causal")
        self.network = _ready(network, config, self.masked).to(self.device)
        self.learned = nn.ParameterList(p for p in self.network.parameters() if p.requires_grad)
        groups = [
            {"params": [p for p in self.learned if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in self.learned if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW([group for group in groups if group["params"]], lr=config.lr)
        tokens = self._tokens(texts)
        order = np.random.default_rng(config.seed).permutation(len(tokens))
        if not tokens:
            raise TrainingError("no text of the items has two tokens", hint="give the items texts, with text: in data")
        held = min(round(config.held_out * len(tokens)), _HELD_MOST, len(tokens) - 1)
        self.held, self.read = [tokens[at] for at in order[:held]], [tokens[at] for at in order[held:]]
        self.bf16 = config.precision == "bf16" or (config.precision == "auto" and self.device.type == "cuda")

    def run(self, kept: Path, key: str) -> dict[str, Any]:
        """Train; goes on from the checkpoint in ``kept`` if there is one."""
        before, done, seconds = self._resume(kept, key)
        began = saved = time.monotonic()
        total = self.config.epochs * len(self.read)
        with track("read the catalogue", total, "texts", done=done) as progress:
            seen = 0
            for step, (share, batch) in enumerate(self._steps()):
                seen += len(batch)
                if seen <= done:
                    continue
                loss = self._learn([self.read[at] for at in batch], share, step)
                progress.advance(len(batch), f"loss {loss:.3f}")
                if time.monotonic() - saved >= self.config.checkpoint_seconds:
                    spent = seconds + time.monotonic() - began
                    state = {"before": before, "done": seen, "seconds": spent}
                    save_checkpoint(kept, {"learned": self.learned}, {"optimiser": self.optimiser}, {}, key, state)
                    saved = time.monotonic()
        return {
            "task": "masked" if self.masked else "causal",
            "texts": len(self.read),
            "held_out": len(self.held),
            "tokens": self.config.epochs * sum(map(len, self.read)),
            "loss_before": before,
            "loss_after": self._held_loss(),
            "seconds": seconds + time.monotonic() - began,
        }

    def save(self, folder: Path) -> None:
        """Write tokenizer and network; a model of sentence-transformers stays one."""
        network = self.network.cpu()
        if self.config.rank:
            merge_adapters(network)
        plain = {key: getattr(self.config, key) for key in ("model", "revision", "local_only")}
        if self.masked and TextEncoder(**plain).is_sentence_transformer():
            library = need("sentence_transformers", "text")
            with loading(self.config.model):
                whole = library.SentenceTransformer(
                    self.weights.source,
                    device="cpu",
                    revision=self.config.revision,
                    local_files_only=self.config.local_only,
                )
                weights = whole[0].auto_model.state_dict() | network.base_model.state_dict()  # a pooler stays as it was
                whole[0].auto_model.load_state_dict(weights)
                whole.save_pretrained(str(folder))
            return
        with loading(self.config.model):
            network.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)

    def _resume(self, kept: Path, key: str) -> tuple[float | None, int, float]:
        """Loss before everything, texts read, seconds spent."""
        kept.mkdir(parents=True, exist_ok=True)
        found = load_checkpoint(kept, {"learned": self.learned}, {"optimiser": self.optimiser}, (), key)
        if found is None:
            return self._held_loss(), 0, 0.0
        return found[1]["before"], found[1]["done"], found[1]["seconds"]

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        ids = self.tokenizer(list(texts), truncation=True, max_length=self.config.max_length)["input_ids"]
        end = None if self.masked else self.tokenizer.eos_token_id
        whole = [[*some[: self.config.max_length - 1], end] if end is not None else list(some) for some in ids]
        return [some for some in whole if len(some) > 1]

    def _steps(self) -> Iterator[tuple[float, Ints]]:
        """How much of the training is over in the middle of each step, and its texts."""
        lengths = np.array([len(ids) for ids in self.read])
        for epoch in range(self.config.epochs):
            rng = np.random.default_rng((self.config.seed, epoch))
            parts = batches_of_like_length(lengths, self.config.batch_tokens, rng)
            for number, part in enumerate(parts):
                done = epoch + (number + 0.5) / len(parts)  # at both ends of the training the rate is 0
                yield done / self.config.epochs, part

    def _learn(self, tokens: Sequence[list[int]], share: float, step: int) -> float:
        """One step of the optimiser, at this share of the training; the loss."""
        torch.manual_seed(self.config.seed * 1_000_003 + step)
        self.network.train()
        rise = min(1.0, share / self.config.warmup) if self.config.warmup else 1.0
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.lr * rise * (1 + math.cos(math.pi * share)) / 2
        self.optimiser.zero_grad(set_to_none=True)
        loss, _ = self._loss(tokens, np.random.default_rng((self.config.seed, step, 1)))
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.learned, self.config.clip)
        if not math.isfinite(float(norm)):
            raise TrainingError("the gradient is not finite", where=f"step {step + 1}", hint="lower lr or clip")
        self.optimiser.step()
        return float(loss.detach())

    def _loss(self, tokens: Sequence[list[int]], rng: np.random.Generator) -> tuple[Tensor, int]:
        """Mean loss of the tokens that are to be predicted, and how many they are."""
        width = max(map(len, tokens))
        ids = np.zeros((len(tokens), width), dtype=np.int64)
        real = np.arange(width) < np.array([len(some) for some in tokens])[:, None]
        ids[real] = np.concatenate(tokens)
        asked = real
        labels = np.where(real, ids, _IGNORED)
        if self.masked:
            asked, ids = self._hide(ids, real, rng)
            labels = np.where(asked, labels, _IGNORED)
        given = {"input_ids": ids, "attention_mask": real.astype(np.int64), "labels": labels}
        how = {} if self.masked else {"use_cache": False}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            loss: Tensor = self.network(
                **{k: torch.from_numpy(v).to(self.device) for k, v in given.items()}, **how
            ).loss
        return loss, int(asked.sum()) - (0 if self.masked else len(tokens))  # nothing predicts a first token

    def _hide(self, ids: Ints, real: npt.NDArray[np.bool_], rng: np.random.Generator) -> tuple[Any, Ints]:
        """Which tokens are asked for, at least one of each text, and what is read in their place."""
        words = real & ~np.isin(ids, self.tokenizer.all_special_ids)
        chance = np.where(words, rng.random(ids.shape), np.inf)
        asked = (chance < self.config.mask) | (words & (chance == chance.min(axis=1, keepdims=True)))
        fate = rng.random(ids.shape)
        other = rng.integers(0, len(self.tokenizer), ids.shape)
        replaced = np.where(fate < 0.8, self.tokenizer.mask_token_id, np.where(fate < 0.9, other, ids))
        return asked, np.where(asked, replaced, ids)

    @torch.no_grad()
    def _held_loss(self) -> float | None:
        """Mean loss in nats of a token of the texts that are not read; None without any."""
        if not self.held:
            return None
        self.network.eval()
        rng, total, n = np.random.default_rng((self.config.seed, 2)), 0.0, 0
        lengths = np.array([len(ids) for ids in self.held])
        for part in batches_of_like_length(lengths, self.config.batch_tokens, np.random.default_rng(0)):
            loss, count = self._loss([self.held[at] for at in part], rng)
            total, n = total + float(loss) * count, n + count
        return total / n


def _is_masked(config: Pretraining, weights: Weights) -> bool:
    """Whether the model restores masked tokens."""
    if config.task != "auto":
        return config.task == "masked"
    if weights.gguf:
        return False
    transformers = need("transformers", "text")
    with loading(config.model):
        found = transformers.AutoConfig.from_pretrained(
            weights.source, revision=config.revision, local_files_only=config.local_only
        )
    return type(found) in transformers.AutoModelForMaskedLM._model_mapping


def _ready(network: Any, config: Pretraining, masked: bool) -> Any:
    """The network in training: all of it, or adapters and whatever head is new."""
    if config.checkpointing:
        save_memory(network)
    if config.rank:
        known = set(map(id, network.base_model.parameters()))
        head = [p for p in network.parameters() if masked and id(p) not in known]
        add_adapters(network, config.rank, alpha=2 * config.rank)
        for value in head:
            value.requires_grad_(True)
    return network
