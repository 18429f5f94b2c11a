"""The path of requests and responses: sign-in, tokens and cookies, forms, rendering, headers."""
