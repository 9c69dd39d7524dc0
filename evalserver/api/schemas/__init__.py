"""What goes in and out of the API. Arrays and sizes are in z, y, x order; lengths in nm where a name says so.

The ground truth itself is in none of these: what they say of it are the figures that the pages show.
"""
