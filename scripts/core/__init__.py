"""What the scripts share; each file holds one idea. Nothing here imports a script or a plugin."""
