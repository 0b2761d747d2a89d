"""A plugin of ganvas: the template-kind ``template-name``."""

from collections.abc import Mapping

from ganvas import hookimpl


@hookimpl
def ganvas_components() -> Mapping[str, Mapping[str, str]]:
    """Kind -> name -> where the class is; it is imported when a spec names it."""
    return {
        "template-kind": {
            "template-name": f"{__name__}.template_module:Template",
        },
    }
