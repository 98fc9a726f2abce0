"""Small studies for the cluster: digits, seconds per member."""

from pathlib import Path

PLAIN = """\
name = "{name}"
[data]
source = "digits"
train_images = 300
[recipe]
name = "fast"
epochs = {epochs}
flip = false
[architectures]
"wrn-10-1" = {seeds}
[evaluate]
bootstrap = 200
[latency]
repeats = 3
[run]
checkpoint_seconds = 0.5
[cluster]
cpus = 0.4
memory = "1Gi"
scratch = "1Gi"
{more}
"""


def write_study(folder: Path, name: str = "digits", seeds: int = 2, epochs: int = 3, more: str = "",
                recipe: str = "") -> Path:
    """A study file of one architecture; `more` goes to the end of [cluster] and beyond, `recipe` into [recipe]."""
    text = PLAIN.format(name=name, seeds=seeds, epochs=epochs, more=more)
    path = folder / f"{name}.toml"
    path.write_text(text.replace("flip = false\n", f"flip = false\n{recipe}\n"))
    return path
