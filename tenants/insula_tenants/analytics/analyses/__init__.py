"""Analyses: looks at all points of a tenant, slice by slice, over any number of workers."""
