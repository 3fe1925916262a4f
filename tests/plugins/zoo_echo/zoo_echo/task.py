"""The task `echo`: text in, the same text out."""

import zoo


class Echoing(zoo.Task):
    title = "Echo"

    def model(self):
        return zoo.Model


TASK = Echoing()
