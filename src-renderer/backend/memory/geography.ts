/** Places for simulated sites: id, name, latitude and longitude in degrees. */
const places: readonly (readonly [string, string, number, number])[] = [
  ["ams", "Amsterdam", 52.4, 4.9],
  ["nyc", "New York", 40.7, -74],
  ["tyo", "Tokyo", 35.7, 139.7],
  ["sao", "São Paulo", -23.5, -46.6],
  ["syd", "Sydney", -33.9, 151.2],
  ["jnb", "Johannesburg", -26.2, 28],
  ["fra", "Frankfurt", 50.1, 8.7],
  ["sin", "Singapore", 1.35, 103.8],
  ["sfo", "San Francisco", 37.8, -122.4],
  ["bom", "Mumbai", 19.1, 72.9],
  ["lon", "London", 51.5, -0.1],
  ["yyz", "Toronto", 43.7, -79.4],
  ["sel", "Seoul", 37.6, 127],
  ["sto", "Stockholm", 59.3, 18.1],
  ["scl", "Santiago", -33.4, -70.7],
  ["nbo", "Nairobi", -1.3, 36.8],
];

export interface Place {
  readonly id: string;
  readonly name: string;
  readonly latitude: number;
  readonly longitude: number;
}

export function place(index: number): Place {
  const [id, name, latitude, longitude] = places[index % places.length] as (typeof places)[number];
  const round = Math.floor(index / places.length);
  return { id: round ? `${id}${round + 1}` : id, name: round ? `${name} ${round + 1}` : name, latitude, longitude };
}

/** One-way delay in milliseconds over fibre that is 1.4 times as long as the great circle, plus 1 ms. */
export function delayBetween(a: Place, b: Place): number {
  const rad = Math.PI / 180;
  const h =
    Math.sin(((b.latitude - a.latitude) * rad) / 2) ** 2 +
    Math.cos(a.latitude * rad) * Math.cos(b.latitude * rad) * Math.sin(((b.longitude - a.longitude) * rad) / 2) ** 2;
  const km = 2 * 6371 * Math.asin(Math.min(1, Math.sqrt(h)));
  return Math.round((km * 1.4) / 200 + 1);
}
