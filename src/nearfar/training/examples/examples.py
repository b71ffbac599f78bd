"""Training examples: each clip with its class and its log-mel, of which an epoch hears a part.

    clips → log-mels on disk (`examples.prepare`) → examples → batches and crops of an epoch

What is drawn depends on (seed, epoch, example) only, and examples are in the order of their hashes:
neither the order of files nor the number of workers, nor being killed and resumed, changes it.
No torch here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from nearfar.clips import Clips, proxy_classes
from nearfar.clips.training import check_training
from nearfar.embedder.crops import crop
from nearfar.errors import DatasetError, SettingError, warn
from nearfar.sound.audio import ChannelOrder, to_order
from nearfar.training.examples.mels import MelStore, Source
from nearfar.training.examples.prepare import prepare, store_key, usable

if TYPE_CHECKING:
    from nearfar.clips import Clip
    from nearfar.embedder.backbone import Backbone
    from nearfar.frontend import Frontend
    from nearfar.runtime.runtime import Runtime
    from nearfar.training.settings import FineTuning

Float32 = NDArray[np.float32]
ProxyClass = tuple[str, str, str]  # machine, section, attributes
T = TypeVar("T")

FEWEST = 5  # clips a class must have to give one away
DOMAINS = ("source", "target")  # by their number
_ORDER, _CROP, _LENGTH = 1, 2, 3  # what is drawn: streams that never meet


@dataclass(frozen=True, eq=False)
class Examples:
    """Normal clips as an encoder is trained on them, in the order of `near_digests`.

    >>> none = np.zeros(2)
    >>> from nearfar.embedder.eat import EAT
    >>> held_out, mels = np.array([False, True]), MelStore.open(None, "")
    >>> found = Examples(Clips(), none, (), held_out, (), (), (), mels, EAT("a folder"), 0.6)
    >>> len(found), found.trained_on  # two clips, of which the second is held out
    (2, [0])
    >>> found.mels.close()
    """

    clips: Clips  # one for each different sound
    labels: NDArray[np.int64]  # (n,), each a number of `classes`
    classes: tuple[ProxyClass, ...]  # sorted
    held_out: NDArray[np.bool_]  # (n,): never trained on, to select by and draw thresholds from
    near_digests: tuple[str, ...]  # (n,) sha256 of channel 0 alone
    digests: tuple[str, ...]  # (n,) sha256 of the channels heard: where `mels` has them
    samples: tuple[int, ...]  # (n,) length of each clip at 16 kHz
    mels: MelStore  # log-mels at full length
    hears: Backbone  # what it cuts of them
    shortest: float  # of a crop, as a share of the clip

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def trained_on(self) -> list[int]:
        """Examples that are not held out."""
        return [int(i) for i in np.flatnonzero(~self.held_out)]

    @property
    def domains(self) -> NDArray[np.int64]:
        """(n,) the number of each clip's domain in `DOMAINS`; −1 where it has none."""
        number = {name: k for k, name in enumerate(DOMAINS)}
        return np.array([number.get(clip.domain or "", -1) for clip in self.clips], np.int64)

    def whole(self, i: int) -> Float32:
        """An example at full length, (frames, 128): a view of the store, or padded or cut."""
        return self.hears.fitted(self.mels[self.digests[i]])

    def crop(self, i: int, rng: np.random.Generator, place: float | None = None) -> Float32:
        """A part of an example, as `Crops` cuts a sound, (frames, 128); see `crop` for `place`.

        It is cut from the log-mel of the whole clip, which is as if the sound were cut but for
        rounding of the start to a frame; how, the encoder says (`Backbone.cut`).
        """
        samples = min(self.samples[i], self.hears.longest)
        first, last = crop(samples, self.shortest, rng, place)
        if (first, last) == (0, samples):
            return self.whole(i)
        return self.hears.cut(self.mels[self.digests[i]], first, last)


def examples(
    clips: Clips,
    frontend: Frontend,
    encoder: Backbone,
    settings: FineTuning,
    runtime: Runtime,
    order: ChannelOrder = "near-far",
    skip_bad: bool = False,
) -> Examples:
    """Prepare normal clips for training.

    Each clip is read once; its log-mel stays in the cache folder (a temporary one without a cache).
    With several training processes let one finish before the others begin: they find it all there.
    Clips without a label are taken for normal.

    Raises:
        DatasetError: test clips or anomalies, one class only, one sound in two classes; one domain
            only where domains are to be adapted.
        AudioError, NearfarError: clips that cannot be used, all of them; not with `skip_bad`, which
            leaves them out with a warning.
        SettingError: a front end with two channels.
        StorageError: no room for the log-mels.
    """
    of_clip = _checked(clips, frontend, encoder, settings, order)
    mels = MelStore.open(runtime.folder, store_key(frontend, encoder))
    try:
        given, found = clips, prepare(clips, frontend, encoder, runtime, order, mels, skip_bad)
        pairs = [(c, source) for c, source in zip(clips, found, strict=True) if source is not None]
        # One sound in two classes: of few clips nobody has looked through.
        clips = Clips(clip for clip, _ in pairs)
        good = usable(clips, [source.near for _, source in pairs], skip_bad)
        clips, sources = Clips(clips[i] for i in good), [pairs[i][1] for i in good]
        if len(clips) < len(given):  # the others may be of one class only
            of_clip = _checked(clips, frontend, encoder, settings, order)
        kept = _distinct(clips, sources)
    except BaseException:
        mels.close()
        raise
    classes = tuple(sorted(set(of_clip.values())))
    number = {name: k for k, name in enumerate(classes)}
    labels = np.array([number[of_clip[clips[i]]] for i in kept], np.int64)
    heard, near = Clips(clips[i] for i in kept), tuple(sources[i].near for i in kept)
    held = held_out(labels, near, settings.held_out, _blocks(heard, labels, settings.held_out))
    digests, samples = zip(*((sources[i].digest, sources[i].samples) for i in kept), strict=True)
    return Examples(
        heard, labels, classes, held, near, digests, samples, mels, encoder, settings.shortest
    )


def held_out(
    labels: NDArray[np.int64],
    near_digests: Sequence[str],
    share: float,
    blocks: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """Which clips are kept from training, (n,): a share of each class with 5 clips or more.

    At least one of such a class, unless the share is 0. Which ones depends on nothing but a class's
    sounds: encoders of other seeds, or of more machines, hold out the same.

    Clips of a class with one number in `blocks` are held out together or not at all, though a block
    that makes more than half of the class never is. None: each clip by itself.
    """
    chosen = np.zeros(len(labels), bool)
    blocks = np.arange(len(labels)) if blocks is None else blocks
    rank = [hashlib.sha256(f"{d} held out".encode()).digest() for d in near_digests]
    for label in np.unique(labels):
        members = [int(i) for i in np.flatnonzero(labels == label)]
        if len(members) >= FEWEST and share > 0:
            most = len(members) // 2  # whatever is held out, as much is trained on
            wanted, held = max(1, min(round(share * len(members)), most)), 0
            of_block: dict[int, list[int]] = {}
            for i in sorted(members, key=lambda i: near_digests[i]):
                of_block.setdefault(int(blocks[i]), []).append(i)
            for block in sorted(of_block.values(), key=lambda block: rank[block[0]]):
                if held < wanted and held + len(block) <= most:
                    chosen[block] = True
                    held += len(block)
    return chosen


def batches(
    examples: Examples, settings: FineTuning, epoch: int, least: int = 2
) -> list[list[int]]:
    """The examples of an epoch in the order of training; it depends on (seed, epoch) only.

    Each training example once; or, balanced, as many draws, of each class as many as of any other
    (give or take one), and within a class of each example so. Batches are of nearly one size, none
    larger than the setting: over two or three clips left over BatchNorm's mean and deviation would
    say nothing, and that step's gradient would point anywhere.
    There must be `least` examples, and no batch has fewer, even if the setting is smaller.
    """
    rng = _rng(settings.seed, _ORDER, epoch)
    chosen = np.array(examples.trained_on, np.int64)
    if settings.balanced:
        chosen = _balanced(chosen, examples.labels[chosen], rng)
    drawn = [int(i) for i in rng.permutation(chosen)]
    return split(drawn, min(-(-len(drawn) // settings.batch_size), len(drawn) // least))


def split(batch: Sequence[T], parts: int) -> list[list[T]]:
    """A batch in parts of nearly one size, in order.

    >>> split([5, 6, 7, 8, 9], 2)
    [[5, 6, 7], [8, 9]]
    """
    size, more = divmod(len(batch), parts)
    ends = [size * i + min(i, more) for i in range(parts + 1)]
    return [list(batch[a:b]) for a, b in pairwise(ends)]


def crop_rng(seed: int, epoch: int, index: int, before: int = 0) -> np.random.Generator:
    """What the crop of an example is drawn from in an epoch, where it was drawn `before` times."""
    return _rng(seed, _CROP, epoch, index, *((before,) if before else ()))


def crop_places(seed: int, epoch: int, batches: int) -> NDArray[np.float64]:
    """Where among the possible lengths the crops of each batch of an epoch lie, (batches,), 0 to 1.

    One number a batch, so that its clips end on as few lengths as they had before. Each batch gets
    another of as many equal parts of 0 to 1: over an epoch crops are as long as if every clip drew
    its own, and an epoch of few batches has short and long ones, too.

    >>> sorted((4 * crop_places(seed=0, epoch=0, batches=4)).astype(int).tolist())
    [0, 1, 2, 3]
    """
    rng = _rng(seed, _LENGTH, epoch)
    places: NDArray[np.float64] = (rng.permutation(batches) + rng.random(batches)) / batches
    return places


def buckets(lengths: Sequence[int]) -> dict[int, list[int]]:
    """Length → places of what has it, shortest first: what can be encoded without padding.

    >>> buckets([32, 16, 32])
    {16: [1], 32: [0, 2]}
    """
    found: dict[int, list[int]] = {length: [] for length in sorted(set(lengths))}
    for place, length in enumerate(lengths):
        found[length].append(place)
    return found


def _blocks(clips: Clips, labels: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """What of a class is held out together: neighbouring parts of a recording sound alike."""
    blocks = np.zeros(len(labels), np.int64)
    folds = max(2, round(1 / share)) if share > 0 else 2
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        blocks[members] = _pieces([clips[int(i)] for i in members], folds)
    return blocks


def _pieces(clips: Sequence[Clip], folds: int) -> NDArray[np.int64]:
    """(n,) block numbers: a file is one; parts of a recording are as few as fill the folds.

    Not `recording_blocks`, which keeps whole days together: a share could not be drawn of few.
    """
    cut = [clip.start != 0 or clip.stop is not None for clip in clips]
    recordings = sorted({str(c.path) for c, part in zip(clips, cut, strict=True) if part})
    # Rounded up: with fewer blocks than folds some folds would be empty.
    pieces = -(-folds // len(recordings)) if recordings else 1
    blocks: NDArray[np.int64] = np.empty(len(clips), dtype=np.int64)
    singles = [i for i, part in enumerate(cut) if not part]
    blocks[singles] = np.arange(len(singles))
    used = len(singles)
    for recording in recordings:
        parts = [i for i, c in enumerate(clips) if cut[i] and str(c.path) == recording]
        parts.sort(key=lambda i: clips[i].start)
        here = min(pieces, len(parts))  # a recording of three parts has no four blocks
        blocks[parts] = used + np.arange(len(parts)) * here // len(parts)
        used += here
    return blocks


def _balanced(
    chosen: NDArray[np.int64], labels: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """As many draws as examples, spread evenly over classes and over each class's examples."""
    present = rng.permutation(np.unique(labels))
    each, more = divmod(len(chosen), len(present))
    drawn: list[NDArray[np.int64]] = []
    for place, label in enumerate(present):
        members, wanted = chosen[labels == label], each + (place < more)
        rounds = -(-wanted // len(members))
        shuffled = [rng.permutation(members) for _ in range(rounds)]
        drawn += [np.concatenate(shuffled)[:wanted]] if rounds else []
    return np.concatenate(drawn)


def _rng(seed: int, *stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=stream))


def _checked(
    clips: Clips, frontend: Frontend, encoder: Backbone, settings: FineTuning, order: ChannelOrder
) -> dict[Clip, ProxyClass]:
    """The class of each clip; all that can be refused is, before any work."""
    if frontend.channels != 1:
        name = type(encoder).__name__
        raise SettingError(f"{frontend!r} gives {frontend.channels} channels; {name} hears one")
    check_training(clips, "train")
    domains = {clip.domain for clip in clips}
    if settings.adaptation == "dann" and not domains.issuperset(DOMAINS):
        refuse_one_domain(next((d for d in DOMAINS if d in domains), None))
    to_order(np.zeros((2, 1), np.float32), order)
    of_clip = proxy_classes(clips)
    classes = sorted(set(of_clip.values()))
    if len(classes) < 2:
        raise DatasetError(
            f"one class only, {' '.join(classes[0])}, and nothing to tell it from; add another "
            "machine, or recordings with another domain or other attributes"
        )
    return of_clip


def refuse_one_domain(only: str | None) -> NoReturn:
    """Refuse to adapt one domain, the other or both of which no clip to train on has."""
    told = f"only {only} clips" if only else "no clip with a domain"
    raise DatasetError(
        f"training.adaptation is 'dann', and there is {told} to train on; give source and target "
        "clips, or leave it away"
    )


def _distinct(clips: Clips, sources: Sequence[Source]) -> list[int]:
    """One clip for each near channel, all of one class, in the order of their hashes."""
    first: dict[str, int] = {}
    copies: list[str] = []
    for i in sorted(range(len(clips)), key=lambda i: clips[i].name):
        kept = first.setdefault(sources[i].near, i)
        if kept != i:
            copies.append(f"{clips[i].name}: the same audio as {clips[kept].name}")
    if copies:
        more = f" ({len(copies)} such copies in all)" if len(copies) > 1 else ""
        warn(f"{copies[0]}; they count as one{more}")
    return [first[near] for near in sorted(first)]


def domain_shares(examples: Examples, balanced: bool) -> tuple[float, float]:
    """Which share of the draws in training is of source clips, and which of target clips.

    Raises:
        DatasetError: not one clip of a domain is trained on.
    """
    chosen = np.array(examples.trained_on, np.int64)
    chance = np.full(len(chosen), 1 / max(1, len(chosen)))
    if balanced:
        _, place, size = np.unique(examples.labels[chosen], return_inverse=True, return_counts=True)
        chance = 1 / (len(size) * size[place])
    domains: NDArray[np.int64] = examples.domains[chosen]
    source, target = (float(chance[domains == d].sum()) for d in range(len(DOMAINS)))
    if not source or not target:
        refuse_one_domain("source" if source else "target" if target else None)
    return source, target
