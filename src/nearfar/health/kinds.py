"""What can be wrong with clips and data sets: how a line says it, and what it does to a score."""

from __future__ import annotations

from collections.abc import Iterable

# Of a clip among the others of its machine; {usual} is theirs. Each ends with a way out.
KINDS = {
    # Times, for what is held out here is not what is held out for a threshold.
    "score": "far from the others by self-score (× their median): faults, or their channels "
    "swapped? Listen to them, or fit with --exclude-suspects",
    "ratio": "near over far is far from the median {usual}; were the microphones swapped or moved?",
    "near floor": "the near microphone is at the noise floor; is it connected?",
    "far floor": "the far microphone is at the noise floor; is it connected?",
    "twice": "both channels are one, up to gain or noise; is the far microphone connected?",
    "clipped": "samples clipped; turn the gain down",
    "zeros": "samples exactly zero; were some lost?",
    "off": "much quieter than the others ({usual}); was the machine off?",
    "loud": "much louder than the others ({usual}); disturbed, or the others with the machine off?",
    "length": "a length of their own (the others: {usual}); cut them alike",
    "rate": "a sample rate of their own (the others: {usual}); another recorder?",
    "lag": "far lies behind near by more than 30 ms; were both recorders started together?",
    "drift": "the recorders' clocks run apart by more than 20 ms; use one clock",
    "shifted": "far lies elsewhere in time than the others' ({usual}); cut both channels alike",
    "copy": "another clip again but for gain; leave one of them out",
    "same": "another clip again, sample for sample, which counts once; remove one of them",
    "elsewhere": "also a training clip of another machine or section; whose is it?",
    "leak": "a training clip too; take it out of one of the two",
    "tested twice": "a test clip that is another one again; remove one of them",
}

# Kind of a clip or of a data set → what it does to scores, one sentence.
MEANS = {
    "score": "in the bank it is a normal of its own: anomalies that resemble it score low.",
    "ratio": "what tells the machine from its hall is turned round or fades: the clip scores high, "
    "or teaches the bank another place.",
    "near floor": "nothing of the machine is in it: the score is of the recorder's noise.",
    "far floor": "the hall cannot be told from the machine: noise of the hall scores as a fault.",
    "twice": "the far channel says nothing of its own: features of two channels are constants, and "
    "noise of the hall scores as a fault.",
    "clipped": "clipping adds harmonics that no machine makes: such clips score high, or make "
    "rattling faults normal.",
    "zeros": "gaps are clicks to the features: such clips score high, or make knocking normal.",
    "off": "a bank with the machine off calls silence normal, and a standing machine is missed.",
    "loud": "a disturbance in the bank makes disturbances normal: faults as loud as it are missed.",
    "length": "statistics over another time spread otherwise: scores of clips of different length "
    "do not compare.",
    "rate": "above half of the lower rate there is nothing: clips of two rates differ by that "
    "alone, more than by a fault.",
    "lag": "near and far do not hear the same moment: coherence is lost, and the far channel takes "
    "no noise off.",
    "drift": "the lag grows over the recording: late clips lose coherence and score higher.",
    "shifted": "near and far do not hear the same moment: the clip's coherence is not the others', "
    "and it scores high.",
    "copy": "each finds the other in the bank: self-scores are too low, and so is the threshold "
    "drawn from them.",
    "same": "none: copies are counted once.",
    "elsewhere": "one of two banks learns a foreign machine, and does not hear it as foreign.",
    "leak": "the clip finds itself in the bank and scores near 0: an AUC with it says nothing of "
    "clips to come.",
    "tested twice": "it counts twice in every AUC, which is less sure than its number of clips "
    "says.",
    "count": "a result on other clips than the set's own compares with no published one.",
    "machine": "a result on other machines than the set's own compares with no published one.",
    "number": "clips that are missing are in no bank and no AUC: results compare with no others.",
    "name": "what a name does not say (domain, label, split) is not known: such clips are not read "
    "at all, or stop an evaluation.",
    "split": "a test clip in the bank scores near 0, a training clip in a test counts as a normal.",
    "label": "an anomaly in the bank makes its fault normal: such faults score low from then on.",
    "no train": "there is nothing to hold its test clips against: they get no score.",
    "no test": "it gets a threshold, but no AUC.",
    "empty": "there is nothing to fit on or to judge.",
    "attributes": "classes for fine-tuning come from names and lists: where these disagree, clips "
    "are trained in the wrong class.",
    "spelling": "none here, where case is folded; elsewhere the spelling is a class of its own, "
    "and gives the label away.",
    "turned": "if the far channel is taken for the near one, it is the hall that gets judged.",
    "prefix": "none here; a pattern as ToyCar* elsewhere fits one machine on two.",
    "stray": "it is in no bank and no AUC.",
    "unlisted": "its clips were not looked at.",
}  # fmt: skip


def means(kinds: Iterable[str]) -> dict[str, str]:
    """Of each kind, once and in their order, what it does to scores.

    >>> list(means(["leak", "copy", "leak"]))
    ['leak', 'copy']
    """
    return {kind: MEANS[kind] for kind in dict.fromkeys(kinds)}
