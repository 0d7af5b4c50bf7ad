"""fal-ai/face-to-sticker: a photo becomes a sticker of that person, with and without background."""
