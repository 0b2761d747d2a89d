import pytest

from ganvas_plugins.datasets.openmoji_groups import CODE_POINTS, GROUPS, group_of


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("1F600", "smileys-emotion"),  # grinning face
        ("2764-FE0F-200D-1F525", "smileys-emotion"),  # heart on fire
        ("1F441-FE0F-200D-1F5E8-FE0F", "smileys-emotion"),  # eye in speech bubble
        ("1F441", "people-body"),  # eye
        ("1F468-1F3FE-200D-1F33E", "people-body"),  # farmer
        ("1F3FB", "component"),  # a colour of skin
        ("1F408-200D-2B1B", "animals-nature"),  # black cat
        ("1F344", "animals-nature"),  # mushroom
        ("1F344-200D-1F7EB", "food-drink"),  # brown mushroom
        ("1F34B-200D-1F7E9", "food-drink"),  # lime
        ("1FAB5", "travel-places"),  # wood
        ("26BD", "activities"),  # football
        ("1F4A1", "objects"),  # light bulb
        ("0023-FE0F-20E3", "symbols"),  # keycap #
        ("1F1E8-1F1ED", "flags"),  # Switzerland
        ("1F3F4-E0075-E0073-E0063-E0061-E007F", "flags"),  # California
        ("1F1E8", "extras"),  # the letter C
        ("E045", "extras"),  # a brand
        ("2605", "extras"),  # black star, no emoji
        ("FFFFF", "extras"),
    ],
)
def test_icons_are_in_unicodes_groups(name, group):
    assert group_of(name) == group


def test_no_character_is_in_two_groups():
    seen = {}
    for group, text in CODE_POINTS.items():
        for part in text.split():
            start, _, end = part.partition("-")
            for point in range(int(start, 16), int(end or start, 16) + 1):
                assert seen.setdefault(point, group) == group, hex(point)
    assert (*CODE_POINTS, "extras") == GROUPS
    assert len(GROUPS) == 11
