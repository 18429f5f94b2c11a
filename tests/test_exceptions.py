from __future__ import annotations

import pickle

from unihooks.exceptions import InvalidWebhook


def test_errors_survive_a_pickle():
    error = pickle.loads(pickle.dumps(InvalidWebhook("text", name="field")))
    assert (type(error), error.message, error.name, str(error)) == (InvalidWebhook, "text", "field", "text")
