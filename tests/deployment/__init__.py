"""The image and the platform: the files, and the result of executing them."""
