"""Draw assets/readme.png: the most and the least memorized images of fmnist-mini.

Usage: python scripts/make_readme_picture.py. Reads the stored memorization scores.
"""

from pathlib import Path

from memlib import data, plotting, results

TARGET = Path(__file__).resolve().parent.parent / "assets" / "readme.png"


def main() -> None:
    """Write the picture."""
    clothes = data.load("fmnist-mini")
    scores, _ = results.load_table(results.stored("fmnist-mini-memorization.parquet"))
    keys = ["memorization", "memorization_gibbs"]
    label = dict(zip(clothes.ids.tolist(), clothes.labels.tolist(), strict=True))
    ranked = scores.sort_values(keys, ascending=False)
    most = list(ranked.index[:8])
    usual = ranked.index[::-1]
    least = [next(i for i in usual if label[i] == k) for k in range(10)][:8]
    chosen = [*most, *least]
    captions = [
        f"{clothes.class_names[label[i]]}\n{scores.memorization[i] + 0.0:.2f}" for i in chosen
    ]
    figure = plotting.image_grid(clothes, chosen, captions, columns=8)
    figure.savefig(TARGET, dpi=110)
    print(TARGET)


if __name__ == "__main__":
    main()
