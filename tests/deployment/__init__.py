"""The image and the platform: what the files say, and what comes of doing it."""
