"""AWS: the commercial regions that `round_trips.csv` has measurements for, with zone ids, which mean the same place
in every account, unlike zone names
(docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html).

At most four zones a region, which is what a region's range has room for. Left out are use1-az3, use1-az5, usw1-az2 and
apne1-az3: AWS constrains some zones ("Constrained Availability Zones" on that page), and several of its services
offer nothing in these.

Columns: name, place, country, continent, jurisdiction, latitude, longitude, zone prefix, zone numbers, slot.
Slots are append-only: a number is never given to another region.
"""

ROWS = (
    ("eu-central-1", "Frankfurt", "DE", "Europe", "EU", 50.11, 8.68, "euc1-az", "123", 0),
    ("us-east-1", "Ashburn", "US", "North America", "US", 39.04, -77.49, "use1-az", "1246", 1),
    ("ap-northeast-1", "Tokyo", "JP", "Asia", "JP", 35.68, 139.69, "apne1-az", "124", 2),
    ("eu-west-1", "Dublin", "IE", "Europe", "EU", 53.35, -6.26, "euw1-az", "123", 3),
    ("us-west-1", "San Jose", "US", "North America", "US", 37.34, -121.89, "usw1-az", "13", 4),
    ("ap-southeast-1", "Singapore", "SG", "Asia", "SG", 1.35, 103.82, "apse1-az", "123", 5),
    ("sa-east-1", "São Paulo", "BR", "South America", "BR", -23.55, -46.63, "sae1-az", "123", 6),
    ("ap-south-1", "Mumbai", "IN", "Asia", "IN", 19.08, 72.88, "aps1-az", "123", 7),
    ("af-south-1", "Cape Town", "ZA", "Africa", "ZA", -33.92, 18.42, "afs1-az", "123", 8),
    ("ca-central-1", "Montreal", "CA", "North America", "CA", 45.50, -73.57, "cac1-az", "124", 9),
    ("ap-southeast-2", "Sydney", "AU", "Oceania", "AU", -33.87, 151.21, "apse2-az", "123", 10),
    ("eu-north-1", "Stockholm", "SE", "Europe", "EU", 59.33, 18.07, "eun1-az", "123", 11),
    ("us-east-2", "Columbus", "US", "North America", "US", 39.96, -83.00, "use2-az", "123", 12),
    ("us-west-2", "Boardman", "US", "North America", "US", 45.84, -119.70, "usw2-az", "1234", 13),
    ("eu-west-2", "London", "GB", "Europe", "GB", 51.51, -0.13, "euw2-az", "123", 14),
    ("eu-west-3", "Paris", "FR", "Europe", "EU", 48.86, 2.35, "euw3-az", "123", 15),
    ("eu-south-1", "Milan", "IT", "Europe", "EU", 45.46, 9.19, "eus1-az", "123", 16),
    ("eu-south-2", "Zaragoza", "ES", "Europe", "EU", 41.65, -0.89, "eus2-az", "123", 17),
    ("eu-central-2", "Zurich", "CH", "Europe", "CH", 47.38, 8.54, "euc2-az", "123", 18),
    ("ap-northeast-2", "Seoul", "KR", "Asia", "KR", 37.57, 126.98, "apne2-az", "1234", 19),
    ("ap-northeast-3", "Osaka", "JP", "Asia", "JP", 34.69, 135.50, "apne3-az", "123", 20),
    ("ap-east-1", "Hong Kong", "HK", "Asia", "HK", 22.32, 114.17, "ape1-az", "123", 21),
    ("ap-south-2", "Hyderabad", "IN", "Asia", "IN", 17.39, 78.49, "aps2-az", "123", 22),
    ("ap-southeast-3", "Jakarta", "ID", "Asia", "ID", -6.21, 106.85, "apse3-az", "123", 23),
    ("ap-southeast-4", "Melbourne", "AU", "Oceania", "AU", -37.81, 144.96, "apse4-az", "123", 24),
    ("ap-southeast-5", "Kuala Lumpur", "MY", "Asia", "MY", 3.14, 101.69, "apse5-az", "123", 25),
    ("ap-southeast-7", "Bangkok", "TH", "Asia", "TH", 13.76, 100.50, "apse7-az", "123", 26),
    ("ca-west-1", "Calgary", "CA", "North America", "CA", 51.05, -114.07, "caw1-az", "123", 27),
    ("mx-central-1", "Querétaro", "MX", "North America", "MX", 20.59, -100.39, "mxc1-az", "123", 28),
    ("me-south-1", "Manama", "BH", "Asia", "BH", 26.23, 50.59, "mes1-az", "123", 29),
    ("me-central-1", "Dubai", "AE", "Asia", "AE", 25.20, 55.27, "mec1-az", "123", 30),
    ("il-central-1", "Tel Aviv", "IL", "Asia", "IL", 32.09, 34.78, "ilc1-az", "123", 31),
)
