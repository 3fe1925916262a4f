"""The catalog as a web site, and the pages that `zoo cost` and `zoo lint` write.

Pages are templates filled with what the browsing commands know. They need no server, fetch nothing
and run no plugin's code. Whatever comes from a recipe is escaped.
"""
