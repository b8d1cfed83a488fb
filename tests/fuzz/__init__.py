"""The API's description put to the running service by schemathesis, which lives in an environment of its own."""
