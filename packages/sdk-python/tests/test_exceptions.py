"""Exceptions become ErrorInfos."""

from __future__ import annotations

from watchllm._exceptions import describe_exception


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Return an exception with a traceback."""
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def test_type_message_and_traceback_are_kept() -> None:
    """The stack names the place, and the exception that another was raised from."""
    info = describe_exception(raised(ValueError("no"), raised(KeyError("inner"))))

    assert (info["type"], info["message"]) == ("ValueError", "no")
    assert "code" not in info
    assert "KeyError: 'inner'" in info["stack"]
    assert "direct cause" in info["stack"]
    assert "test_exceptions.py" in info["stack"]


def test_the_exception_under_handling_is_in_the_stack() -> None:
    """An exception raised while another was handled shows both."""
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904 - it is the case
    except ValueError as error:
        info = describe_exception(error)

    assert "During handling of the above exception" in info["stack"]


def test_a_code_of_the_provider_is_kept() -> None:
    """A `code` that is a text is taken over; one that is not, or cannot be read, is left out."""

    class Coded(Exception):  # noqa: N818 - as clients name them
        code: object = "rate_limit_exceeded"

    class Secretive(Exception):  # noqa: N818 - as above
        @property
        def code(self) -> str:
            raise RuntimeError

    numeric = Coded("x")
    numeric.code = 429

    assert describe_exception(Coded("x"))["code"] == "rate_limit_exceeded"
    assert "code" not in describe_exception(numeric)
    assert "code" not in describe_exception(Secretive("x"))


def test_an_exception_that_cannot_be_printed_is_described() -> None:
    """When str() raises, the message says so, and nothing raises."""

    class Rude(Exception):  # noqa: N818 - its name is what is tested
        def __str__(self) -> str:
            raise TypeError("hidden")

    info = describe_exception(raised(Rude()))

    assert info["type"] == "Rude"
    assert info["message"] == "[no message: str() raised TypeError]"
    assert "Rude" in info["stack"]


def test_a_traceback_that_cannot_be_formatted_is_described() -> None:
    """When formatting the traceback raises, the stack says so."""

    class Twisted(Exception):  # noqa: N818 - as above
        @property
        def __cause__(self) -> BaseException:  # type: ignore[override] # broken on purpose
            raise OSError

    info = describe_exception(Twisted("x"))

    assert info["stack"] == "[no traceback: formatting it raised OSError]"
