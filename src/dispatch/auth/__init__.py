"""Signing in and out: WeChat, passwords, OpenID Connect, refresh tokens, API keys."""
