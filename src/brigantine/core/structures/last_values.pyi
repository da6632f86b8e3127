from ...pure.structures.last_values import LastValues as LastValues
