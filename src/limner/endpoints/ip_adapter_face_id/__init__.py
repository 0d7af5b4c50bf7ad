"""fal-ai/ip-adapter-face-id: a portrait of the person in one photo or many, in a scene."""
