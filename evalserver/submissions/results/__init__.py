"""What readers get of a result: pages, downloads, archive, comparison, viewer."""
