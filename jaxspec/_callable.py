"""Packages that can be called: ``jaxspec.fit`` is a folder of modules and a function.

A package and the function that it is named after share one name in ``jaxspec``. Python binds the
package to that name whenever a module inside is imported, so the package itself has to be what a
caller wants. Its class gets ``__call__``, and the signature and docstring of the function; the
function is looked up in the module ``run`` of the package when it is first needed, so that
importing the package imports nothing else.
"""

import inspect
import sys
from importlib import import_module
from types import ModuleType


class _CallablePackage(ModuleType):
    @property
    def _function(self):
        name = self.__name__
        return getattr(import_module(f"{name}.run"), name.rpartition(".")[2])

    def __call__(self, *args, **kwargs):
        return self._function(*args, **kwargs)

    @property
    def __signature__(self):
        return inspect.signature(self._function)

    @property
    def __doc__(self):
        return inspect.getdoc(self._function)

    def __reduce__(self):  # processes of a pool are sent the name, as of a function
        return import_module, (self.__name__,)

    # help() of a package shows the functions that it lists: this one, with its signature
    @property
    def __all__(self):
        return [self.__name__.rpartition(".")[2]]

    def __getattr__(self, name):
        if name == self.__name__.rpartition(".")[2]:
            return self._function
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


def make_callable(package):
    """Let the package of this name be called as the function of its name in its ``run``."""
    sys.modules[package].__class__ = _CallablePackage
