"""`python -m memlib` is the command `memlib`."""

from memlib.cli import app

if __name__ == "__main__":
    app(prog_name="memlib")
