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
    # A package ``a.b`` that acts as the function ``a.b.run.b``. No docstring: it would take the
    # place of the property __doc__.

    @property
    def _function(self):
        return getattr(import_module(f"{self.__name__}.run"), _last(self.__name__))

    def __call__(self, *args, **kwargs):
        return self._function(*args, **kwargs)

    @property
    def __signature__(self):
        return inspect.signature(self._function)

    @property
    def __doc__(self):
        return inspect.getdoc(self._function)

    def __getattr__(self, name):
        if name == _last(self.__name__):
            return self._function
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self):  # help() shows the function, with its signature
        return [*super().__dir__(), _last(self.__name__)]

    def __reduce__(self):  # a process of a pool is sent the name, as of any function
        return import_module, (self.__name__,)


def _last(name):
    return name.rpartition(".")[2]


def make_callable(package):
    """Let the package of this name be called as the function of its name in its ``run``."""
    module = sys.modules[package]
    vars(module)["__all__"] = [_last(package)]
    module.__class__ = _CallablePackage
