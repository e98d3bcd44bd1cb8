"""The WeChat edge: how a code becomes an identity."""
