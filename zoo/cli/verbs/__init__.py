"""One module for each verb, imported when it is run; `command` is the verb."""
