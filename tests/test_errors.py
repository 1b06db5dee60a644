"""Exceptions survive the way from a worker process to the one that reports them."""

import importlib
import pickle
import pkgutil

import dolorim
from dolorim.core.errors import UserError
from dolorim.labels.events import Conflicts


def subclasses(kind: type[BaseException]) -> list[type[BaseException]]:
    direct = [*kind.__subclasses__()]
    return direct + [sub for child in direct for sub in subclasses(child)]


def test_every_exception_of_the_package_is_read_back_from_a_pickle_with_all_that_it_says() -> None:
    for module in pkgutil.walk_packages(dolorim.__path__, "dolorim."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = [kind for kind in subclasses(Exception) if kind.__module__.startswith("dolorim.")]
    assert UserError in ours
    for kind in dict.fromkeys(ours):
        error = kind("it is not so")
        if isinstance(error, UserError):
            error = kind("it is not so", where="a.csv", remedy="mend it", name="label-rate")
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is kind
        assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_a_conflict_in_a_label_file_keeps_its_place_and_name_through_a_pickle() -> None:
    try:
        Conflicts().add("a.csv, line 3", "two behaviors", "keep one", "left out", "label-rate")
    except UserError as error:
        copy = pickle.loads(pickle.dumps(error))
        assert (copy.where, copy.name) == ("a.csv, line 3", "label-rate")
        assert str(copy).startswith("a.csv, line 3: two behaviors; keep one")
