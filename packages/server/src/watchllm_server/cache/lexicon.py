"""The English words that the guards of the semantic cache know."""

from __future__ import annotations

from typing import Final

_SMALL = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_TEENS = "fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth"

# "one" is no number here: "which one", "one can". An ordinal is another kind of number than 2.
NUMBERS: Final[dict[str, str]] = (
    {word: str(n) for n, word in enumerate(f"{_SMALL} {_TEENS}".split()) if n != 1}
    | {word: str(20 + 10 * n) for n, word in enumerate(_TENS.split())}
    | {"hundred": "100", "thousand": "1000", "million": "1000000", "billion": "1000000000"}
    | {"dozen": "12", "half": "0.5", "twice": "2x", "thrice": "3x", "double": "2x", "triple": "3x"}
    | {word: f"{n}." for n, word in enumerate(_ORDINALS.split(), 1)}
)

_MONTHS = "january february march april may june july august september october november december"
_DAYS = "monday tuesday wednesday thursday friday saturday sunday"
# These are words as well, so that they count as months beside a number or after "in" alone.
UNSURE_MONTHS: Final = frozenset({"may", "march"})
DATES: Final[dict[str, str]] = (
    {word: word for word in f"{_MONTHS} {_DAYS}".split()}
    | {f"{word}s": word for word in _DAYS.split()}
    | {word[:3]: word for word in _MONTHS.split() if word not in UNSURE_MONTHS and word != "june"}
    | dict.fromkeys(("today", "tonight"), "today")
    | {
        word: word
        for word in ["tomorrow", "yesterday", "spring", "summer", "autumn", "winter", "weekend"]
    }
    | {
        word: word
        for word in ["morning", "afternoon", "evening", "noon", "midnight", "christmas", "easter"]
    }
    | {"fall": "autumn", "q1": "q1", "q2": "q2", "q3": "q3", "q4": "q4"}
    | {word: word for word in ["daily", "weekly", "monthly", "quarterly", "yearly", "hourly"]}
    | {"annual": "yearly", "annually": "yearly", "am": "am", "pm": "pm"}
)
# "fall" and "am" are dates beside certain words alone.
UNSURE_DATES: Final = {"fall": frozenset({"the", "this", "last", "next", "in"}), "am": frozenset()}

_UNITS: Final = (
    "km kilometre kilometres kilometer kilometers|mile miles|metre metres meter meters"
    "|cm centimetre centimetres centimeter centimeters|mm millimetre millimetres millimeter"
    "|inch inches|foot feet ft|yard yards|kg kilo kilos kilogram kilograms|g gram grams"
    "|mg milligram milligrams|lb lbs pound pounds|oz ounce ounces|tonne tonnes ton tons"
    "|litre litres liter liters|ml millilitre millilitres milliliter milliliters|gallon gallons"
    "|celsius|fahrenheit|kelvin|hour hours hr hrs|minute minutes min mins|seconds sec secs"
    "|day days|week weeks|month months|year years|decade decades|percent %"
    "|byte bytes|kb kilobyte kilobytes|mb megabyte megabytes|gb gigabyte gigabytes"
    "|tb terabyte terabytes|$ usd dollar dollars|€ eur euro euros|£ gbp|¥ yen|₹ inr rupee rupees"
    "|watt watts|kw kilowatt kilowatts|volt volts|calorie calories kcal|ms millisecond milliseconds"
)
UNITS: Final[dict[str, str]] = {
    word: group.split()[0] for group in _UNITS.split("|") for word in group.split()
}

_NEGATED = ("ca", "do", "does", "did", "is", "are", "was", "were", "wo", "would", "should", "could",
            "have", "has", "had")  # fmt: skip
NEGATIONS: Final = frozenset(
    {
        *("not", "no", "never", "none", "nobody", "nothing", "neither", "nor"),
        *("without", "cannot", "unable", "hardly", "except"),
        *(f"{verb}nt" for verb in _NEGATED),  # as many write it; with an apostrophe, guards tells
    }
)

_ANTONYMS: Final = (
    "on/off open/close open/closed start/stop start/end begin/end increase/decrease"
    " increase/reduce raise/lower up/down high/low higher/lower highest/lowest more/less"
    " more/fewer most/least best/worst better/worse good/bad big/small large/small"
    " larger/smaller bigger/smaller long/short longer/shorter fast/slow faster/slower"
    " early/late earlier/later earliest/latest first/last before/after above/below over/under"
    " inside/outside in/out indoors/outdoors buy/sell bought/sold buying/selling borrow/lend"
    " import/export send/receive sent/received give/take accept/decline accept/reject"
    " accept/refuse approve/reject allow/forbid allow/prohibit allow/deny grant/revoke"
    " permit/forbid allowed/prohibited allowed/forbidden enable/disable enabled/disabled"
    " activate/deactivate install/uninstall subscribe/unsubscribe lock/unlock block/unblock"
    " mute/unmute follow/unfollow connect/disconnect mount/unmount add/remove insert/delete"
    " create/delete create/destroy upgrade/downgrade upload/download encrypt/decrypt"
    " encode/decode compress/decompress zip/unzip push/pull push/pop lose/gain lost/found"
    " lose/find win/lose won/lost love/hate like/dislike legal/illegal safe/dangerous"
    " safe/unsafe healthy/unhealthy possible/impossible true/false right/wrong left/right"
    " positive/negative advantage/disadvantage pros/cons benefit/risk benefits/risks"
    " benefits/harms cheap/expensive cheapest/priciest easy/hard easy/difficult hot/cold"
    " warm/cool wet/dry light/dark young/old new/old rich/poor strong/weak hard/soft full/empty"
    " minimum/maximum min/max least/most always/never all/none all/some all/any every/some"
    " everyone/nobody with/without public/private internal/external input/output income/expense"
    " profit/loss credit/debit deposit/withdraw deposit/withdrawal arrive/depart"
    " arrival/departure enter/leave enter/exit join/leave hire/fire employed/unemployed"
    " married/single male/female man/woman men/women boy/girl boys/girls husband/wife"
    " mother/father son/daughter brother/sister day/night morning/evening ascending/descending"
    " horizontal/vertical top/bottom front/back north/south east/west include/exclude"
    " included/excluded including/excluding eat/avoid keep/remove keep/discard remember/forget"
    " ask/answer question/answer teach/learn employer/employee landlord/tenant buyer/seller"
    " sender/recipient parent/child doctor/patient teacher/student vegetarian/meat alive/dead"
    " birth/death optional/required optional/mandatory temporary/permanent"
    " temporarily/permanently manual/automatic manually/automatically online/offline sync/async"
    " client/server read/write reads/writes stricter/looser save/spend charge/refund"
    " pay/receive domestic/international fresh/frozen raw/cooked sweet/sour tighten/loosen"
    " expand/collapse show/hide lead/follow attack/defend agree/disagree appear/disappear"
    " success/failure succeed/fail passed/failed pass/fail debit/credit physical/digital"
    " physical/virtual old/young thick/thin wide/narrow deep/shallow parents/children"
    " student/teacher prefer/avoid prevent/cause prevents/causes cause/effect causes/effects"
    " cause/cure causes/treatments cure/cause symptoms/causes symptoms/treatment"
)
ANTONYMS: Final[frozenset[tuple[str, str]]] = frozenset(
    pair
    for left, right in (words.split("/") for words in _ANTONYMS.split())
    for pair in ((left, right), (right, left))
)
PREFIXES: Final = ("un", "in", "im", "ir", "il", "dis", "non", "mis", "de", "anti")

_COMMON = (
    "a an the of to in on at for from by with about into as is are was were be been being am"
    " do does did doing done have has had having i me my mine we us our you your he she it"
    " its they them their this that these those there here what which who whom whose when"
    " where why how and or but if then so than too very can could will would shall should may"
    " might must just also please any some way get got make s t m re ve ll d"
)
COMMON: Final = frozenset(_COMMON.split())
_QUESTIONS = "what which who whom whose when where why how"
QUESTIONS: Final = frozenset(_QUESTIONS.split())
# A word after one of these has the role that the word names: swapped roles, another question.
_ROLES = "from to than before after into over under with by against versus vs of onto until for"
ROLES: Final = frozenset(_ROLES.split())
_EVEN = "and or nor with vs versus between the a an of"
# What stands on the two sides of these may change places.
EVEN: Final = frozenset(_EVEN.split())
