"""What each request and answer passes through: sign-in, tokens and cookies, forms, rendering, headers."""
