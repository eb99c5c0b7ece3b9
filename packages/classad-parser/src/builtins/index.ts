/** Registers every function of the language. */
import { contextFunctions } from './contexts.ts';
import { environmentFunctions } from './environment.ts';
import { listFunctions } from './lists.ts';
import { numberFunctions } from './numbers.ts';
import { regexpFunctions } from './regexps.ts';
import { register } from './registry.ts';
import { stringFunctions } from './strings.ts';
import { timeFunctions } from './times.ts';
import { typeFunctions } from './types.ts';
import { userFunctions } from './users.ts';
import { versionFunctions } from './versions.ts';

register(contextFunctions);
register(environmentFunctions);
register(listFunctions);
register(numberFunctions);
register(regexpFunctions);
register(stringFunctions);
register(timeFunctions);
register(typeFunctions);
register(userFunctions);
register(versionFunctions);
