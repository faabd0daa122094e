"""Export, preview and import of configuration in tvarr's own file format."""
