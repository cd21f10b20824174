"""What a task takes without any model: the most frequent label, and words alone."""

from collections import Counter

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from albert_core.data import metrics
from albert_core.data.tasks import find
from albert_core.tokenization import load_tokenizer


def majority(learnt, judged):
    """The most frequent label, everywhere."""
    most = Counter(learnt.known()).most_common(1)[0][0]
    return [most] * len(judged)


def majority_tags(learnt, judged):
    """The most frequent tag, everywhere."""
    most = Counter(tag for tags in learnt.known() for tag in tags).most_common(1)[0][0]
    return [[most] * len(tags) for tags in judged.known()]


def words(learnt, judged):
    """A logistic regression on which pieces there are, in whatever order."""
    tokenize = load_tokenizer("albert-nano").tokenize
    pieces = CountVectorizer(tokenizer=tokenize, token_pattern=None, binary=True)
    model = make_pipeline(pieces, LogisticRegression(max_iter=1000))
    model.fit([" ".join(item.texts) for item in learnt], learnt.known())
    return model.predict([" ".join(item.texts) for item in judged]).tolist()


def word_tags(learnt, judged):
    """Of each word its most frequent tag, and O where it was never seen."""
    seen = {}
    for item in learnt:
        for word, tag in zip(item.texts, item.label, strict=True):
            seen.setdefault(word, Counter())[tag] += 1
    most = {word: found.most_common(1)[0][0] for word, found in seen.items()}
    unseen = learnt.labels.index("O")
    return [[most.get(word, unseen) for word in item.texts] for item in judged]


# What a column of the table is called; then how labels, and how tags are guessed.
BASELINES = {
    "majority": ("most frequent label", majority, majority_tags),
    "words": ("words alone", words, word_tags),
}


def score(kind, name, train, dev):
    """The scores of a baseline on a task: of two files, learnt and judged."""
    task = find(name)
    learnt = task.read(train)
    judged = task.read(dev, learnt.labels)
    _, of_labels, of_tags = BASELINES[kind]
    if name != "chunking":
        found = of_labels(learnt, judged)
        return {task.metric: metrics.accuracy(found, judged.known())}
    rows = [of_tags(learnt, judged), judged.known()]
    named = [[[learnt.labels[tag] for tag in tags] for tags in row] for row in rows]
    return {task.metric: metrics.entity_f1(*named)["f1"]}
