"""What the system promises in public, each tried from outside: a function a promise, which returns its line."""
