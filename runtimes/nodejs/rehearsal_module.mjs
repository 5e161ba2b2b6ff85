/* As rehearsal.cjs, for the loader of ES modules. */
export const handler = async (event) => event;
