"""What the scripts share; each file holds one idea. Nothing here imports a script, a kind or a part."""
