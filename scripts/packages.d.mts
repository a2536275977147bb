/** The folder of everything that is downloaded and kept between runs. */
export const cacheDirectory: () => string;
