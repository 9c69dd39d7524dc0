"""Flood-filling network (Januszewski et al. 2018): one object at a time, grown from a seed by a moving network."""
