"""``python -m limner`` is the ``limner`` command."""

from limner.cli import app

if __name__ == "__main__":
    app()
