"""The local target: places on this machine that stand for real cities, so that links carry real distances.

The zones are names only: there is one server per member, and the loss of a zone is not simulated.

Columns: name, place, country, continent, jurisdiction, latitude, longitude, zone prefix, zone letters, slot.
Slots are append-only, and 0 to 15, because the address scheme of the local target has room for 16 regions.
"""

ROWS = (
    ("eu-central", "Frankfurt", "DE", "Europe", "EU", 50.11, 8.68, "eu-central-", "abc", 0),
    ("us-east", "Ashburn", "US", "North America", "US", 39.04, -77.49, "us-east-", "abc", 1),
    ("ap-northeast", "Tokyo", "JP", "Asia", "JP", 35.68, 139.69, "ap-northeast-", "abc", 2),
    ("eu-west", "Dublin", "IE", "Europe", "EU", 53.35, -6.26, "eu-west-", "abc", 3),
    ("us-west", "San Jose", "US", "North America", "US", 37.34, -121.89, "us-west-", "abc", 4),
    ("ap-southeast", "Singapore", "SG", "Asia", "SG", 1.35, 103.82, "ap-southeast-", "abc", 5),
    ("sa-east", "São Paulo", "BR", "South America", "BR", -23.55, -46.63, "sa-east-", "abc", 6),
    ("ap-south", "Mumbai", "IN", "Asia", "IN", 19.08, 72.88, "ap-south-", "abc", 7),
    ("af-south", "Cape Town", "ZA", "Africa", "ZA", -33.92, 18.42, "af-south-", "abc", 8),
    ("ca-central", "Montreal", "CA", "North America", "CA", 45.50, -73.57, "ca-central-", "abc", 9),
    ("ap-southeast-2", "Sydney", "AU", "Oceania", "AU", -33.87, 151.21, "ap-southeast-2-", "abc", 10),
    ("eu-north", "Stockholm", "SE", "Europe", "EU", 59.33, 18.07, "eu-north-", "abc", 11),
)
