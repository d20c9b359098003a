"""Fit what weighs the verifier's judges: trees over the guards, and the weights of all three.

    python tools/verifier/fit.py MODELS OUT WEIGHTS [--fold 0]

OUT holds pairs.json and verifier.npz of train.py, MODELS what `watchllm models fetch` has made with
the latter. Writes WEIGHTS/fusion.npz. Needs scikit-learn. The trees learn from all folds but one,
the weights of the judges from that one, which the network has not seen either.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from pairs import Pair
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from watchllm_server.cache import embed, guards, verify

TREES, LEAVES = 200, 12
# Higher likeness never speaks against a pair, a conflict or more words alone never for one. By the
# order of verify.features.
LEAST = 0.6  # pairs that are less alike are never asked about
DIRECTIONS = [1, *[-1] * 9, 1, 1, 1, -1, -1]


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--fold", type=int, default=0)
    given = parser.parse_args()
    found = [Pair(*row) for row in json.loads((given.out / "pairs.json").read_text())]
    model = embed.MiniLM(given.models)
    tokens = {text: model.tokens(text) or [] for p in found for text in (p.one, p.other)}
    vectors = {text: model.vector(ids) for text, ids in tokens.items()}
    signs = {text: guards.read(text) for text in tokens}
    cosines = np.array([float(vectors[p.one] @ vectors[p.other]) for p in found])
    rows = np.array(
        [
            verify.features(
                signs[p.one], signs[p.other], guards.compare(signs[p.one], signs[p.other]), cosine
            )
            for p, cosine in zip(found, cosines, strict=True)
        ]
    )
    labels = np.array([p.same for p in found])
    held = np.array([p.fold == given.fold for p in found])
    near = cosines >= LEAST
    trees = HistGradientBoostingClassifier(
        max_iter=TREES, max_leaf_nodes=LEAVES, learning_rate=0.06, min_samples_leaf=40,
        l2_regularization=5.0, early_stopping=False, random_state=7,
        monotonic_cst=DIRECTIONS + [0] * (rows.shape[1] - len(DIRECTIONS)),
    ).fit(rows[~held & near], labels[~held & near])  # fmt: skip
    flat = flatten(trees)
    scores = verify.Trees(flat)
    assert np.isclose(scores.score(list(rows[0])), trees.decision_function(rows[:1])[0])
    session = embed.session(given.models / embed.VERIFIER)
    chosen = np.flatnonzero(held & near)
    said = [
        verify.signals(cosines[n], scores.score(list(rows[n])),
                       network(session, tokens[found[n].one], tokens[found[n].other]))
        for n in chosen
    ]  # fmt: skip
    weigher = LogisticRegression(fit_intercept=False, C=10.0).fit(np.array(said), labels[chosen])
    weights = weigher.coef_[0]
    given.weights.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(given.weights / "fusion.npz", weights=weights, **flat)
    print("weights of cosine, trees, network, constant:", np.round(weights, 2))


def network(session: object, one: list[int], other: list[int]) -> float:
    """Ask the network in both orders, as the verifier does of what may be served."""
    return (in_order(session, one, other) + in_order(session, other, one)) / 2


def in_order(session: object, one: list[int], other: list[int]) -> float:
    """Ask the network."""
    ids, sides = verify.joined(one[1:-1], other[1:-1], verify.MAX_TOKENS)
    return float(
        session.run(None, {"input_ids": np.array([ids]), "sides": np.array([sides])})[0][0, 0]
    )


def flatten(model: HistGradientBoostingClassifier) -> dict[str, np.ndarray]:
    """Return the trees as arrays of nodes; a leaf leads to itself."""
    nodes, roots, depth = [], [], 0
    for (tree,) in model._predictors:  # noqa: SLF001 - scikit-learn has no public way to the nodes
        start = len(nodes)
        roots.append(start)
        depth = max(depth, int(tree.nodes["depth"].max()))
        for place, node in enumerate(tree.nodes):
            leaf = bool(node["is_leaf"])
            nodes.append((
                0 if leaf else int(node["feature_idx"]),
                np.inf if leaf else float(node["num_threshold"]),
                start + (place if leaf else int(node["left"])),
                start + (place if leaf else int(node["right"])),
                float(node["value"]) if leaf else 0.0,
            ))  # fmt: skip
    feature, threshold, left, right, value = zip(*nodes, strict=True)
    return {
        "feature": np.array(feature, np.int16), "threshold": np.array(threshold),
        "left": np.array(left, np.int32), "right": np.array(right, np.int32),
        "value": np.array(value), "roots": np.array(roots, np.int32),
        "base": np.array(model._baseline_prediction[0, 0]),  # noqa: SLF001 - likewise
        "depth": np.array(depth),
    }  # fmt: skip


if __name__ == "__main__":
    main()
