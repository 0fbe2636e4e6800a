"""Training on folders of clips through the transforms the daemon serves with."""
