"""What `import cxrkeras` offers; nothing else imports it. `cxrkeras/__init__.py` maps its names."""
