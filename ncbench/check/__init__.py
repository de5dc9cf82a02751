"""Regression checks: is a new checkpoint as conservative, as consistent and as fast as the one before?"""
