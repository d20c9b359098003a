"""What tells two questions apart that are alike in all but a small thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from watchllm_server.cache.guards import Difference, Differences, compare, inversions, read, stem

TEXTS = st.text(max_size=40) | st.text("ab 12\"`'.?-$%AB", max_size=40)


def differences(one: str, other: str) -> Differences:
    """Return how two texts differ."""
    return compare(read(one), read(other))


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("numbers", "How far is 5 km?", "How far is 6 km?"),
        ("numbers", "Book a table for four", "Book a table for five"),
        ("numbers", "Add twenty-one eggs", "Add twenty-two eggs"),
        ("numbers", "Lend me 2k", "Lend me 3k"),
        ("numbers", "Who was the 3rd president?", "Who was the 4th president?"),
        ("numbers", "Wake me at 7:30", "Wake me at 7:45"),
        ("numbers", "It costs 1.5", "It costs 15"),
        ("dates", "What happened in March 1990?", "What happened in April 1990?"),
        ("dates", "Is it open on Sunday?", "Is it open on Monday?"),
        ("dates", "The weather today", "The weather tomorrow"),
        ("dates", "Sales of last month", "Sales of this month"),
        ("units", "Convert 5 miles", "Convert 5 feet"),
        ("units", "Pay $20", "Pay €20"),
        ("negation", "Can I eat it?", "Can't I eat it?"),
        ("negation", "Cancel my subscription", "Do not cancel my subscription"),
        ("negation", "Which of them paid?", "Which of them never paid?"),
        ("opposites", "Turn on the light", "Turn off the light"),
        ("opposites", "How do I enable logs?", "How do I disable logs?"),
        ("opposites", "Is this legal?", "Is this illegal?"),
        ("opposites", "Is it visible to users?", "Is it invisible to users?"),
        ("direction", "Trains from Rome to Berlin", "Trains from Berlin to Rome"),
        ("direction", "Is milk better than beer?", "Is beer better than milk?"),
        ("direction", "Use butter instead of oil", "Use oil instead of butter"),
        ("direction", "Do cats chase dogs?", "Do dogs chase cats?"),
        ("direction", "What turns salt to sea salt?", "What turns sea salt to salt?"),
        (
            "direction",
            "Tax to pay to move to Rome from Oslo",
            "Tax to pay to move to Oslo from Rome",
        ),
        ("quoted", 'Translate "good day"', 'Translate "good night"'),
        ("code", "What does parse_args do?", "What does print_help do?"),
        ("code", "What does cd .. do?", "What does cd /tmp do?"),
        ("code", "Use --verbose here", "Use --quiet here"),
        ("code", "What is 3 + 4 in C++?", "What is 3 * 4 in C#?"),
        ("code", "Explain getUser()", "Explain getuser()"),
        ("names", "Who is Anna Miller?", "Who is Anna Smith?"),
        ("names", "What does NATO do?", "What does UNICEF do?"),
        ("asked", "Who was Homer?", "Who was Homer? What does a ticket to Oslo cost?"),
        ("asked", "Who was Homer", "What does a ticket cost. Who was Homer"),
        ("asked", "Turn on the light", "Turn on the light. What is a prime? Who was Homer?"),
        ("asked", "What is iron?", "What is iron?\nwhat is iron?\nhow old is the pope"),
    ],
)
def test_a_small_thing_is_a_conflict(kind: str, one: str, other: str) -> None:
    """Both texts say something in this respect, and it is not the same."""
    assert kind in differences(one, other).conflicts()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It costs 1,000 dollars", "It costs $1000"),
        ("Wait two hours", "Wait 2 hours"),
        ("The 3rd of May", "The third of May"),
        ("at 7:00", "at 7"),
        ("Lend me 2k euros", "Lend me 2000 euros"),
        ("How do I reset it?", "how do i reset it"),
        ("What's the meaning of “serendipity”?", "What is the meaning of 'serendipity'?"),
        ("Which one is better?", "Which is better?"),
        ("May I go there?", "Can I go there?"),
        ("I'm from Rome, how do I get to Oslo?", "How do I get to Oslo from Rome?"),
        ("Never mind. I cannot not go.", "I go."),
        ("How does Docker work?", "how does docker work?"),
        ("Please help: what is NumPy?", "What is NumPy?"),
        ("I am cold, e.g. at night", "I'm cold, e.g. at night"),
        ("How are you? How do I pay by card?", "How do I pay by card?"),
        ("What are iron and zinc?", "What is iron? What is zinc?"),
        ("Which is older, Rome or Oslo?", "Which is older, Oslo or Rome?"),
        ("How do iron and the zinc differ?", "How do the zinc and iron differ?"),
        ("How do I pay online by card?", "How do I pay by card online?"),
        ("Where in Rome can I eat?", "Where can I eat in Rome?"),
        ("Calculate the root of two", "What is the root of two?"),
        ("Why does Mr. Bean speak so little?", "Why does Mr Bean speak so little?"),
    ],
)
def test_another_wording_is_no_conflict(one: str, other: str) -> None:
    """What is only written in another way does not stand against a hit."""
    assert differences(one, other).conflicts() in ((), ("negation",))


def test_what_one_text_says_alone_adds() -> None:
    """A number, a date or a quotation on one side is weighed, and no veto."""
    found = differences("What did it cost?", 'What did "it" cost in 1990, on a Monday?')

    assert found.numbers is Difference.ADDS
    assert found.dates is Difference.ADDS
    assert found.quoted is Difference.NONE
    assert found.asked is Difference.NONE
    assert found.conflicts() == ()


def test_a_second_question_about_the_same_adds() -> None:
    """It is weighed, and no veto: often both are the same question."""
    found = differences("What is iron?", "What is iron? What is iron made of?")

    assert found.asked is Difference.ADDS


@given(one=TEXTS, other=TEXTS)
def test_the_order_of_the_two_does_not_matter(one: str, other: str) -> None:
    """Any two texts can be compared, and differ in the same way in both directions."""
    assert differences(one, other) == differences(other, one)


@given(TEXTS)
def test_a_text_does_not_differ_from_itself(text: str) -> None:
    """No guard stands between a text and itself."""
    assert set(differences(text, text)) == {Difference.NONE}
    assert inversions(read(text), read(text)) == 0


def test_words_are_compared_without_their_endings() -> None:
    """Plural, -ing and -ed are the same word; short words stay as they are."""
    assert stem("cancelling") == stem("cancelled")
    assert stem("invoices") == stem("invoice")
    assert stem("cities") == "city"
    assert (stem("is"), stem("glass"), stem("anna's")) == ("is", "glass", "anna")
